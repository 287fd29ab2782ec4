"""What is shown: shapes, print, pages and clips with their exact truth. Says nothing about them."""

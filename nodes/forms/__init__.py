"""What forms of nodes are made of: widgets, sockets, and the words by which nodes are found."""

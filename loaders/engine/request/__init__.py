"""A request on its way in and its reply on its way out: encoded, sized, drafted."""

"""What is this?  A file, a folder, a Hub id or a URL becomes a Backbone."""

"""What the twistd commands share: their process, and how options are read."""

"""What a file or a name from somebody else must not do."""

"""The platform surface: what is public of the installation itself."""

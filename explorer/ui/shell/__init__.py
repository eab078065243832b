"""What every page starts with: settings, navigation, the password, pins."""

"""What hilum finds in a chest, one package a task."""

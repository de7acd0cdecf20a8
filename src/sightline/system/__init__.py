"""What the machine gives: files, disks, devices, processors, and errors for users."""

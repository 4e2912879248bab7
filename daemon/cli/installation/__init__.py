"""What is where when dongbo is installed as a service of systemd, for all commands that have to do with it."""

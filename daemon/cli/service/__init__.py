"""`dongbo install-service` and `dongbo uninstall-service`: dongbo as a service of systemd."""

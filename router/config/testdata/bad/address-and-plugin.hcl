backend "docker" {
  plugin  = "docker"
  address = "unix:///run/edge.sock"
}
default { backend = "docker" }

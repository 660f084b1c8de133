backend "docker" {
  plugin   = "docker"
  maxatoms = 3
  host     = "unix:///x"
}
default { backend = "docker" }

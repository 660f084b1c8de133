owner = 7
backend "docker" {
  plugin    = ["docker"]
  max_atoms = "many"
  drain     = "yes"
  retention = 24
}
default { backend = "docker" }

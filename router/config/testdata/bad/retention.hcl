backend "docker" {
  plugin    = "docker"
  retention = "7d"
  max_atoms = -1
}
backend "b" {
  plugin    = "docker"
  retention = "-1h"
}
rule "b" {
  match { name = "b" }
  backend = "b"
}
default { backend = "docker" }

owner = fleet-a
backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
rule "b" {
  match { name = "b" }
  backend = docker
}
default { backend = "docker" }

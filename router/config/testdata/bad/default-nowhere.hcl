backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
rule "d" {
  match { name = "d" }
  backend = "docker"
}
default {}

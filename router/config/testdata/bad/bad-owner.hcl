owner = "me & you"
backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

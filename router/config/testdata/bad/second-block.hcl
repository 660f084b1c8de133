backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }
default { reject = "no" }
rule "two" {
  match { image = "a" }
  match { image = "b" }
  backend = "docker"
}

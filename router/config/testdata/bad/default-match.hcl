backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default {
  match { image = "a" }
  when    = true
  backend = "docker"
}

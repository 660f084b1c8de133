backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match { name = "x" }
  to {
    backends = { gpu = 0, docker = -2 }
  }
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match { name = "x" }
  to {
    backends = { gpu = 1, docker = 1 }
  }
  to {
    backends = { docker = 1 }
  }
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

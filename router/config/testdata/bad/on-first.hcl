backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match { name = "x" }
  to {
    backends = { gpu = 1 }
    on       = ["full"]
  }
  to {
    backends = { docker = 1 }
    on       = ["busy"]
  }
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

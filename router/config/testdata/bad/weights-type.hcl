backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match { name = "x" }
  to {
    backends = { gpu = "most", docker = 1.5 }
  }
  to {
    backends = ["docker"]
  }
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "cuda" {
  backend = "docker"

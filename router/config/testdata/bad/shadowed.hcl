backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "wide" {
  match {
    image = ["nvidia/*", "*/cuda:*"]
  }
  backend = "gpu"
}
rule "narrow" {
  match {
    image  = ["nvidia/cuda*", "ghcr.io/x/cuda:12"]
    labels = { team = "ml" }
  }
  backend = "docker"
}
default { backend = "docker" }

backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "cuda" {
  match {
    image = ["a", "b"
  }
}

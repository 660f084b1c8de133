backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match {
    labels = { a = "x", "a" = "y" }
  }
  backend = "docker"
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

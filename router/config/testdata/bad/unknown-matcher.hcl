backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match {
    images = "x"
    label  = { a = "b" }
  }
  backend = "docker"
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match   = { image = "x" }
  backend = "docker"
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

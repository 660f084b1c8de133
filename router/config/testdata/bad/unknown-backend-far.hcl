backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  backend = "elsewhere"
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

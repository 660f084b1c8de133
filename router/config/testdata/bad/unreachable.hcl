backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
rule "all" { backend = "docker" }
rule "late" {
  match { image = "x" }
  backend = "gpu"
}
default { backend = "docker" }

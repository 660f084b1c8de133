backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match {
    image   = 3
    labels  = "ml"
    env     = { A = 1, B = [true] }
    gpus_min = 0.5
    cpu_min = "lots"
    memory_min = "64 bananas"
    mount_type = { a = 1 }
  }
  backend = "docker"
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

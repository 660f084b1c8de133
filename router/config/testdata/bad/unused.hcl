backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }
default { backend = "docker" }

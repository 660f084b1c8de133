ownr = "fleet a"
plugin_dir = 5

backend "docker" {
  plugin    = "docker"
  max_atoms = "200"
  drain     = flase
}

backend "gpu" {
  plugin = "kube"
  sha256 = "12"
}

rule "cuda" {
  match {
    imag   = "*/cuda:*"
    labels = { team = 5 }
  }
  when = resources.gpus >= 1 && nmae == "x"
  to {
    backends = { gup = 1, docker = 0 }
    on       = ["full"]
  }
}

rule "cuda" {
  match { name = "re:[" }
  backend = "gpu"
}

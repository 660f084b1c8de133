owner      = "fleet-a"
plugin_dir = ["bin", "/opt/plugins"]

backend "docker" {
  plugin    = "docker"
  aliases   = ["old-name"]
  sha256    = "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
  env       = ["HTTPS_PROXY"]
  max_atoms = 200
  drain     = false
  retention = "24h"
  config {
    host = "unix:///var/run/docker.sock"
  }
}

backend "gpu" {
  plugin = "kube"
  drain  = true
}

backend "gpu-b" { plugin = "kube" }

rule "docker-socket" {
  match {
    mount_source = ["/var/run/docker.sock", "/run/docker.sock"]
  }
  reject = "mounting the Docker socket is not allowed"
}

rule "cuda" {
  match {
    image  = ["*/cuda:*", "nvidia/*"]
    labels = { team = "ml*", "a/b" = ["x", "y"] }
  }
  when = resources.gpus >= 1
  to {
    backends = { gpu = 3, gpu-b = 1 } # weights
  }
  to {
    backends = { docker = 1 }
    on       = ["unavailable", "full"]
  }
  duplicates = "allowed"
}

rule "all-matchers" {
  match {
    name         = "n"
    image        = "i"
    command      = "c"
    entrypoint   = "e"
    user         = "u"
    workdir      = "w"
    pull         = "always"
    env          = { K = "v" }
    mount_type   = "bind"
    mount_source = "/s"
    mount_target = "/t"
    cpu_min      = "500m"
    cpu_max      = 2
    memory_min   = "512MiB"
    memory_max   = "64Gi"
    gpus_min     = 1
    gpus_max     = 8
    not {
      user = "root"
    }
    not {
      name = "re:^x"
      not {
        image = "y"
      }
    }
  }
  backend = "docker"
}

rule "rest" { backend = "docker" } # short for one to-block

default {
  reject = "no rule matched" # or backend = "…"
}

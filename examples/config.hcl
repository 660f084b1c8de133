# A config that works as it is: jobs run as processes of this machine, in
# containers where a Docker engine answers, and as pods where a Kubernetes
# does. `make demo` uses it.
#
#   atom-router run     -c examples/config.hcl none -- echo "a process of this machine"
#   atom-router run     -c examples/config.hcl -l engine=docker alpine:3 -- cat /etc/os-release
#   atom-router run     -c examples/config.hcl -l engine=kube alpine:3 -- cat /etc/os-release
#   atom-router explain -c examples/config.hcl alpine:3 -- true
#
# Paths in this file are relative to it.

owner      = "example"
plugin_dir = "../bin"

# The embedded default: no container engine needed. It records the image and
# does not use it; the command names a program of this machine.
backend "process" {
  plugin = "process"
}

# Where no Docker engine answers, only the rules that lead here fail.
backend "docker" {
  plugin    = "docker"
  env       = ["DOCKER_HOST", "DOCKER_CONFIG"] # passed on to the plugin
  max_atoms = 50                               # full beyond that
}

# The current context of your kubeconfig, in its namespace. An account that may
# do what packaging/kubernetes/role.yaml says is enough.
backend "kube" {
  plugin = "kube"
  config {
    startup_timeout = "5m" # for a node to take the pod up
    pull_timeout    = "1m" # for an image that cannot be pulled
  }
}

# Rules are asked in this order; the first that matches decides.

rule "docker-socket" {
  match {
    mount_source = ["/var/run/docker.sock", "/run/docker.sock"]
  }
  reject = "whoever has the Docker socket has the machine"
}

# Jobs that say where they want to run.
rule "asked-for-docker" {
  match {
    labels = { engine = "docker" }
  }
  backend = "docker"
}

rule "asked-for-kube" {
  match {
    labels = { engine = "kube" }
  }
  backend = "kube"
}

rule "asked-for-process" {
  match {
    labels = { engine = "process" }
  }
  backend = "process"
}

# What only a container can give: another user, limits, volumes.
rule "needs-container" {
  when    = user != "" || resources.memory > 0 || resources.cpu > 0 || try(mounts[0].type, "") != ""
  backend = "docker"
}

# Jobs that run anywhere go to Docker first, to Kubernetes where Docker is down
# or has its 50 jobs, and are processes of this machine where neither takes them.
rule "anywhere" {
  match {
    labels = { anywhere = ["yes", "true"] }
  }
  to {
    backends = { docker = 1 }
  }
  to {
    backends = { kube = 1 }
  }
  to {
    backends = { process = 1 }
    on       = ["unavailable", "full"]
  }
}

# Images match as given and in full: "python" is also
# "docker.io/library/python:latest". They never run as a mere process.
rule "images" {
  match {
    image = ["docker.io/library/*", "ghcr.io/*", "quay.io/*"]
    not {
      image = ["none", "process", "host"]
    }
  }
  backend = "docker"
}

default {
  backend = "process"
}

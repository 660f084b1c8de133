backend "docker" {
  plugin = "docker"
  env    = ["HTTPS_PROXY=http://x", ""]
}
default { backend = "docker" }

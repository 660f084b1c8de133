backend "docker" {
  plugin = "docker"
  sha256 = "abc123"
}
default { backend = "docker" }

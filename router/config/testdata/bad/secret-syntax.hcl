backend "docker" {
  plugin = "docker"
  config {
    password = "hunter2
  }
}

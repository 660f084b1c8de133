backend "docker" {
  plugin  = "docker"
  aliases = ["whale"]
}
default { backend = "whale" }
rule "x" {
  match { name = "x" }
  backend = "docker"
}

backend "docker" { plugin = "docker" }
backend "docker" { plugin = "docker" }
backend "b" {
  plugin  = "kube"
  aliases = ["docker", "old", "old"]
}
rule "a" {
  match { name = "x" }
  backend = "docker"
}
rule "a" { backend = "b" }

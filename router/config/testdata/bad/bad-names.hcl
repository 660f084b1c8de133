backend "Docker_1" { plugin = "docker" }
rule "Cuda rule" { backend = "Docker_1" }
rule "default" {
  reject = "no"
}

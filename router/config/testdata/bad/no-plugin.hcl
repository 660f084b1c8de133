backend "docker" {
}
backend "p" { plugin = "../evil/plugin" }
rule "p" {
  match { name = "p" }
  backend = "p"
}
default { backend = "docker" }

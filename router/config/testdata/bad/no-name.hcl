backend { plugin = "docker" }
rule { reject = "x" }
backend "a" "b" { plugin = "docker" }
default "x" { backend = "a" }

backend "docker" { plugin = "docker" }
backend "gpu" { plugin = "kube" }

rule "cuda" {
  match {
    image = ["registry.example.com/team/image-0:*", "registry.example.com/team/image-1:*", "registry.example.com/team/image-2:*", "registry.example.com/team/image-3:*", "registry.example.com/team/image-4:*", "registry.example.com/team/image-5:*", "registry.example.com/team/image-6:*", "registry.example.com/team/image-7:*", "registry.example.com/team/image-8:*", "registry.example.com/team/image-9:*", "registry.example.com/team/image-10:*", "registry.example.com/team/image-11:*", "registry.example.com/team/image-12:*", "registry.example.com/team/image-13:*", "registry.example.com/team/image-14:*", "registry.example.com/team/image-15:*", "registry.example.com/team/image-16:*", "registry.example.com/team/image-17:*", "registry.example.com/team/image-18:*", "registry.example.com/team/image-19:*", "registry.example.com/team/image-20:*", "registry.example.com/team/image-21:*", "registry.example.com/team/image-22:*", "registry.example.com/team/image-23:*", "registry.example.com/team/image-24:*", "registry.example.com/team/image-25:*", "registry.example.com/team/image-26:*", "registry.example.com/team/image-27:*", "registry.example.com/team/image-28:*", "registry.example.com/team/image-29:*", 5, "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29", "x30", "x31", "x32", "x33", "x34", "x35", "x36", "x37", "x38", "x39"]
  }
  backend = "docker"
}
rule "g" {
  match { image = "gpu/*" }
  backend = "gpu"
}
default { backend = "docker" }

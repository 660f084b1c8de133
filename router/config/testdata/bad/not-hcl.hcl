{"backends": [{"name": "docker"}]}

package daemon

import (
	"fmt"
	"os"
	"slices"

	"github.com/containerd/errdefs"

	"github.com/atom-router/atom-router/atom"
	"github.com/atom-router/atom-router/router"
	"github.com/atom-router/atom-router/router/config"
)

// client is who makes a call, and what they may do.
type client struct {
	identity
	// access is the block that let them in, "" without any.
	access string
	// owner is whose atoms are theirs; "" lets each request say it.
	owner string
}

// admit tells what an identity may do, and refuses what it may not: the error
// is PermissionDenied.
func admit(blocks []config.Access, id identity, verb string) (client, error) {
	if len(blocks) == 0 {
		// The socket's mode lets nobody else in; here it is made sure.
		if id.certificate == nil && id.uid != 0 && int(id.uid) != os.Geteuid() {
			return client{}, denied("%s is not the daemon's user, and without access blocks nobody else is let in", id)
		}
		return client{identity: id}, nil
	}
	// The daemon's own user, and root, could send it SIGHUP as well.
	if verb == "reload" && id.certificate == nil && (id.uid == 0 || int(id.uid) == os.Geteuid()) {
		return client{identity: id}, nil
	}
	for _, b := range blocks {
		if !fits(b, id) {
			continue
		}
		c := client{identity: id, access: b.Name, owner: b.Owner}
		if verb != "" && !allows(b, verb) {
			return c, denied("access %q does not let %s %s", b.Name, id, verb)
		}
		return c, nil
	}
	return client{identity: id}, denied("no access block lets %s in", id)
}

func denied(format string, args ...any) error {
	return atom.Errorf(errdefs.ErrPermissionDenied, "%s", fmt.Sprintf(format, args...))
}

func fits(b config.Access, id identity) bool {
	patterns := b.Users
	if id.certificate != nil {
		patterns = b.Certificates
	}
	return slices.ContainsFunc(patterns, func(p router.Pattern) bool {
		return slices.ContainsFunc(id.names, p.Match)
	})
}

func allows(b config.Access, verb string) bool {
	if len(b.Verbs) == 0 {
		return verb != "reload"
	}
	return slices.Contains(b.Verbs, verb)
}

// verbs are what the methods of the wire are called in access blocks. Those
// that are not here need no verb: whoever is let in may ask them.
var verbs = map[string]string{
	"/atomrouter.engine.v1.Engine/Create":             "create",
	"/atomrouter.engine.v1.Engine/CreateWithProgress": "create",
	"/atomrouter.engine.v1.Engine/Get":                "get",
	"/atomrouter.engine.v1.Engine/Lookup":             "get",
	"/atomrouter.engine.v1.Engine/List":               "list",
	"/atomrouter.engine.v1.Engine/Logs":               "logs",
	"/atomrouter.engine.v1.Engine/Wait":               "wait",
	"/atomrouter.engine.v1.Engine/Stop":               "stop",
	"/atomrouter.engine.v1.Engine/Delete":             "delete",
	"/atomrouter.engine.v1.Engine/Probe":              "",
	"/atomrouter.router.v1.Router/Explain":            "explain",
	"/atomrouter.router.v1.Router/Backends":           "backends",
	"/atomrouter.router.v1.Router/List":               "list",
	"/atomrouter.router.v1.Router/Reload":             "reload",
}

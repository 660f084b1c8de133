package kube

import (
	"strings"

	"github.com/containerd/errdefs"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/atom-router/atom-router/atom"
)

// identity is one incarnation of a pod. Its text, namespace/name/uid, is the
// atom's ID.
type identity struct{ namespace, name, uid string }

func (i identity) String() string { return i.namespace + "/" + i.name + "/" + i.uid }

// parseID reads an atom's ID. What cannot be one names no atom.
func (e *Engine) parseID(id string) (identity, error) {
	if err := atom.ValidateID(id); err != nil {
		return identity{}, err
	}
	parts := strings.Split(id, "/")
	if len(parts) != 3 || len(validation.IsDNS1123Label(parts[0])) > 0 || len(validation.IsDNS1123Subdomain(parts[1])) > 0 || parts[2] == "" {
		return identity{}, noSuchAtom(id)
	}
	i := identity{parts[0], parts[1], parts[2]}
	if i.namespace != e.api.namespace {
		return identity{}, atom.Errorf(errdefs.ErrNotFound, "no such atom: %s is in namespace %s, and this backend serves %s", i.name, i.namespace, e.api.namespace)
	}
	return i, nil
}

func noSuchAtom(id string) error {
	return atom.Errorf(errdefs.ErrNotFound, "no such atom: %.100s", id)
}

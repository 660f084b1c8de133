package container

// MountType says what a mount's source is.
type MountType string

const (
	// MountTypeBind mounts a path of the machine the atom runs on.
	MountTypeBind MountType = "bind"
	// MountTypeVolume mounts a volume that the backend keeps by name.
	MountTypeVolume MountType = "volume"
	// MountTypeTmpfs mounts an empty file system held in memory. It has no
	// source.
	MountTypeTmpfs MountType = "tmpfs"
)

// Mount makes a file system visible inside the atom.
type Mount struct {
	Type MountType
	// Source is an absolute path for MountTypeBind, a name for
	// MountTypeVolume, and empty for MountTypeTmpfs.
	Source string
	// Target is the absolute path inside the atom.
	Target string
	// ReadOnly refuses writes through this mount.
	ReadOnly bool
}

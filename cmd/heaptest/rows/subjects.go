package rows

// subject makes rows. They are in files of their own or beside their relatives.
type subject struct {
	make func() []Row
	// plain: its rows leave nothing behind in their process but descriptors and mappings, and no mapping of a later one is in their way.
	plain bool
}

var subjects = []subject{
	{openRows, true}, {nodeFileRows, true}, {nodeMapRows, true}, {nodePollRows, true}, {nodeFcntlRows, true}, {sysfsRows, true},
	{lengthRows, true}, {argumentRows, true}, {modeRows, true}, {sizeRows, true}, {commandRows, true}, {pointerRows, true},
	{limitRows, false}, {rawRows, true},
	{seekRows, true}, {statRows, true}, {mapRows, true}, {remapRows, false}, {adviseRows, false}, {pageRows, false}, {ioRows, true},
	{resizeRows, true}, {bufFcntlRows, true}, {reopenRows, true}, {pollRows, true}, {bufIoctlRows, true},
	{syncFlagRows, true}, {syncPointerRows, true}, {nameRows, true},
	{exportRows, true}, {importRows, true}, {syncFileRows, true}, {fileInfoRows, true}, {mergeRows, true},
	{callerRows, false}, {lifeRows, false}, {foreignRows, false}, {protectedRows, false},
}

dnl Files made from their .in twin. One AC_CONFIG_FILES a line; folders append theirs here.
PKG_INSTALLDIR
AC_CONFIG_FILES([libxl-ext/flicxl.pc])

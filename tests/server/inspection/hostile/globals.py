"""Functions that hostile pickles have been seen to call, or that public write-ups name as unknown to scanners."""


def list_names(names: str) -> list[str]:
    """Return the names in a text."""
    return names.split()


# Called with one text of Python source, they run it.
PYTHON_RUNNERS = ("builtins.eval", "builtins.exec", "timeit.timeit", "cProfile.run", "profile.run")
# Called with one text of a shell command, they run it.
SHELL_RUNNERS = ("os.system", "posix.system", "subprocess.getoutput", "subprocess.getstatusoutput", "os.popen")

# Named by a pickle, each of these has to be refused, whatever its arguments are.
STANDARD_LIBRARY = list_names(
    """
    pdb.run __builtin__.eval __builtin__.execfile builtins.__import__ builtins.compile builtins.getattr builtins.setattr
    builtins.open builtins.globals builtins.map builtins.filter builtins.breakpoint builtins.input builtins.vars
    nt.system os.execv os.execve os.spawnv os.spawnlp os.posix_spawn os.startfile os.remove os.chmod os.fdopen os.putenv
    subprocess.Popen subprocess.call subprocess.run subprocess.check_output commands.getoutput popen2.popen3 pty.spawn
    multiprocessing.util.spawnv_passfds _posixsubprocess.fork_exec asyncio.create_subprocess_shell
    asyncio.unix_events._UnixSubprocessTransport._start uuid._get_command_stdout _aix_support._read_cmd_output
    _osx_support._find_build_tool _osx_support._read_output _pyrepl.pager.pipe_pager pydoc.pipepager pydoc.tempfilepager
    pydoc.locate webbrowser.open runpy.run_path runpy.run_module code.InteractiveInterpreter.runcode
    code.InteractiveConsole bdb.Bdb.run trace.Trace.run trace.Trace.runctx doctest.debug_script doctest.testsource
    ensurepip._run_pip venv.create pip.main pip._internal.main distutils.spawn.spawn distutils.file_util.write_file
    idlelib.pyshell.ModifiedInterpreter.runcode idlelib.run.Executive.runcode idlelib.calltip.get_entity
    idlelib.debugobj.ObjectTreeItem.SetText idlelib.autocomplete.AutoComplete.fetch_completions
    lib2to3.pgen2.pgen.ParserGenerator.make_label lib2to3.pgen2.grammar.Grammar.loads importlib.import_module
    importlib.machinery.SourceFileLoader imp.load_source pkgutil.resolve_name zipimport.zipimporter operator.attrgetter
    operator.methodcaller operator.itemgetter functools.partial functools.reduce itertools.starmap types.FunctionType
    types.CodeType marshal.loads pickle.loads _pickle.loads _pickle.Unpickler shelve.open ctypes.CDLL
    ctypes.cdll.LoadLibrary _ctypes.dlopen io.open _io.FileIO io.open_code pathlib.Path shutil.rmtree shutil.copyfile
    tempfile.NamedTemporaryFile zipfile.ZipFile tarfile.open sqlite3.connect socket.create_connection socket.socket
    ssl.get_server_certificate smtplib.SMTP ftplib.FTP imaplib.IMAP4 http.client.HTTPSConnection urllib.request.urlopen
    urllib.request.urlretrieve xmlrpc.client.ServerProxy logging.config.dictConfig logging.config._resolve
    logging.FileHandler atexit.register signal.signal sys.settrace threading.Thread threading.Timer
    site.execsitecustomize cgitb.lookup copyreg._reconstructor copyreg.__newobj__ collections.namedtuple
    collections.OrderedDict.__reduce_ex__ collections._sys.modules
    """
)

OTHER_PACKAGES = list_names(
    """
    numpy.testing._private.utils.runstring numpy.f2py.crackfortran.getlincoef numpy.f2py.crackfortran._eval_length
    numpy.f2py.crackfortran.param_eval numpy.f2py.diagnose.run_command numpy.distutils.exec_command.exec_command
    numpy.load numpy.memmap numpy.core.memmap numpy.ndarray.tofile numpy.lib.npyio.DataSource numpy.lib.utils.safe_eval
    torch.load torch.save torch.hub.load torch.hub.download_url_to_file torch.jit.load torch.serialization.load
    torch.storage._load_from_bytes torch.jit.unsupported_tensor_ops.execWrapper torch.utils.collect_env.run
    torch.utils._config_module.ConfigModule.load_config torch.utils.bottleneck.__main__.run_cprofile
    torch.utils.bottleneck.__main__.run_autograd_prof torch._dynamo.guards.GuardBuilder.get torch.ops.load_library
    torch.fx.experimental.symbolic_shapes.ShapeEnv.evaluate_guards_expression torch.fx.graph_module.reduce_graph_module
    torch.fx._lazy_graph_module._make_graph_module torch.utils.data.datapipes.utils.decoder.basichandlers
    torch._inductor.codecache.compile_file torch.utils.cpp_extension.load_inline torch.package.PackageImporter
    torch._utils._import_dotted_name torch.os.system torch.sys.modules torch.distributed.rpc.rpc_sync
    torch._C._load_library dill.loads cloudpickle.loads joblib.load joblib.numpy_pickle.load pandas.read_pickle
    pandas.eval requests.get transformers.AutoModel.from_pretrained transformers.pipeline tensorflow.io.write_file
    keras.models.load_model tensorflow.raw_ops.WriteFile sympy.sympify yaml.unsafe_load jinja2.Template lxml.etree.parse
    cffi.FFI numba.jit ultralytics.nn.tasks.DetectionModel pytorch_lightning.callbacks.model_checkpoint.os.system
    modelyard.server.main.main
    """
)


def split_name(name: str) -> tuple[str, str]:
    """Return module and attribute of a dotted name; an attribute of a class is part of the attribute."""
    parts = name.split(".")
    length = next((index for index, part in enumerate(parts[:-1]) if part[:1].isupper()), len(parts) - 1)
    return ".".join(parts[:length]), ".".join(parts[length:])
